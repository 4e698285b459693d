"""What has become of recorded calls between two revisions of a git repository, and how it is shown."""
