"""Which images the site trusts: the policy as people write it (``docs/trust.md``)."""
