"""Show people how jobs are: status, reasons and logs; stop launches and run jobs again."""
