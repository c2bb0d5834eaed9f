"""The host: where plugins, events and the recording come together and are brought through their lives."""
