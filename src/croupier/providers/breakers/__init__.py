"""Circuit breakers: one for each endpoint of a provider, shared by every process of the deployment."""
