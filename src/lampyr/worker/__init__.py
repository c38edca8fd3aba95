"""One host that runs execution environments; it knows no store and no AWS client."""
