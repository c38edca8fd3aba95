"""The use cases behind the control operations, one module per resource."""
