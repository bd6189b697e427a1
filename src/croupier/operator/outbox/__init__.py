"""Events on their way to the operator: given to each consumer once they are durable, sent until they arrive."""
