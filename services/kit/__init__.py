"""What is shared: bus, local log, store, settings, lifecycle, clock, metrics, security, web. Nothing here knows a contest."""
