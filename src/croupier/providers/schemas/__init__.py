"""Changes of JSON Schemas and what they break: read, compared keyword by keyword, judged by direction."""
