"""Metadata deployments: a zip of components is read, checked as an org checks it, and committed as a whole or not at all."""
