"""Signs people in at the desk, and lets each request do what its person's role allows (docs/access.md)."""
