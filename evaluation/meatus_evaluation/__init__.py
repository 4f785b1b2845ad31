"""How good label maps are: measures on masks. Never imports torch."""
