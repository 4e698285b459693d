"""The providers' HTTP formats, as pure functions between JSON and requests and responses."""
