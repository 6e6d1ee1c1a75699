"""The tags of an image: rules over CI metadata, in the grammar of docker/metadata-action."""
