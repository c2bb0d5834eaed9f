"""What events look like from one version to the next: schemas, upcasters, and what stays readable."""
