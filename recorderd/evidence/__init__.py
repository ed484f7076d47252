"""Evidence: what is handed to a stranger, and what is proven of a bundle, a call or a whole store."""
