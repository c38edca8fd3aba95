"""The workers that execution environments can be placed on."""
