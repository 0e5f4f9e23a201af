"""Long campaigns with a seed and a size: the suite runs each small, a person runs it large."""
