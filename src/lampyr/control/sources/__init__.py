"""What event sources may be and do: their rules, the states of mappings, who brings them about."""
