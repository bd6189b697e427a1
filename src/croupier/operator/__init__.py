"""The edge towards the operator: the REST API `/v1`, its authentication, its reads and its documentation."""
