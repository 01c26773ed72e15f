"""What `tillkeeper check` looks at, a module for each subject.  Nothing is changed, and no secret is shown."""
