package lampyr.runtime;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** Reads what the headers say of who called. */
final class Callers {
    private Callers() {
    }

    static CognitoIdentity identity(String json) {
        Map<?, ?> fields = object(json);
        return fields == null ? null : new Identity(fields);
    }

    static ClientContext clientContext(String json) {
        Map<?, ?> fields = object(json);
        return fields == null ? null : new Sent(fields);
    }

    private static Map<?, ?> object(String json) {
        if (json == null || json.isEmpty()) {
            return null;
        }
        Object node = JsonReader.parse(json.getBytes(StandardCharsets.UTF_8));
        return node instanceof Map ? (Map<?, ?>) node : null;
    }

    private static String text(Map<?, ?> fields, String name) {
        Object value = fields.get(name);
        return value == null ? null : value.toString();
    }

    private static Map<String, String> texts(Object node) {
        if (!(node instanceof Map)) {
            return null;
        }
        Map<String, String> texts = new LinkedHashMap<>();
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) node).entrySet()) {
            texts.put((String) entry.getKey(), entry.getValue() == null ? null : entry.getValue().toString());
        }
        return texts;
    }

    private static final class Identity implements CognitoIdentity {
        private final Map<?, ?> fields;

        Identity(Map<?, ?> fields) {
            this.fields = fields;
        }

        @Override
        public String getIdentityId() {
            return text(fields, "cognitoIdentityId");
        }

        @Override
        public String getIdentityPoolId() {
            return text(fields, "cognitoIdentityPoolId");
        }
    }

    private static final class Sent implements ClientContext {
        private final Client client;
        private final Map<String, String> custom;
        private final Map<String, String> environment;

        Sent(Map<?, ?> fields) {
            Object described = fields.get("client");
            client = described instanceof Map ? new Application((Map<?, ?>) described) : null;
            custom = texts(fields.get("custom"));
            environment = texts(fields.get("env"));
        }

        @Override
        public Client getClient() {
            return client;
        }

        @Override
        public Map<String, String> getCustom() {
            return custom;
        }

        @Override
        public Map<String, String> getEnvironment() {
            return environment;
        }
    }

    private static final class Application implements Client {
        private final Map<?, ?> fields;

        Application(Map<?, ?> fields) {
            this.fields = fields;
        }

        @Override
        public String getInstallationId() {
            return text(fields, "installation_id");
        }

        @Override
        public String getAppTitle() {
            return text(fields, "app_title");
        }

        @Override
        public String getAppVersionName() {
            return text(fields, "app_version_name");
        }

        @Override
        public String getAppVersionCode() {
            return text(fields, "app_version_code");
        }

        @Override
        public String getAppPackageName() {
            return text(fields, "app_package_name");
        }
    }
}
