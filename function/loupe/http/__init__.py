"""The HTTP side: from an event of API Gateway or a function URL to a response."""
