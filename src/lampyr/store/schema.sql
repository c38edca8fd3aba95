-- The schema of a new database: what every migration together makes (a test compares them).
CREATE TABLE functions (
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (account_id, region, name)
);

CREATE TABLE function_versions (
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (account_id, region, name, number)
);

CREATE TABLE resources (
    kind TEXT NOT NULL,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, account_id, region, id)
);

CREATE TABLE events (
    id INTEGER NOT NULL,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    created DOUBLE NOT NULL,
    qualifier TEXT,
    accepted DOUBLE NOT NULL,
    due DOUBLE NOT NULL,
    attempts INTEGER NOT NULL,
    setbacks INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    payload BLOB NOT NULL,
    trace_header TEXT NOT NULL,
    client_context TEXT,
    tenant_id TEXT,
    outcome TEXT,
    PRIMARY KEY (id)
);

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
