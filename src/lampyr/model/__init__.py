"""The nouns of Lambda: frozen values without behaviour that waits."""
