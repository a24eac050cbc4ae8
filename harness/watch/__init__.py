"""Tell people of running jobs: status, reasons, logs, stopping, retrying."""
