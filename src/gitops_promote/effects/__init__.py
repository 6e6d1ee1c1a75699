"""Everything that touches the world: git, the job's environment, its outputs and summary."""
