"""What people do with running jobs: see status, reasons and logs, stop launches, rerun jobs."""
