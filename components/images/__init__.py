"""Pictures: decodes files safely, and hashes and compares their pixels."""
