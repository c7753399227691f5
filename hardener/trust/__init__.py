"""Read the policy of trusted images (``docs/trust.md``)."""
