"""The desk for programs: all that its pages show and do, as JSON under /api."""
