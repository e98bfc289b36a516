"""Pictures: what every room that looks at them shares."""
