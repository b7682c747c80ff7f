"""Three questions that are scaffolded into a copy of the tree and run there."""
