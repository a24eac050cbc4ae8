"""Running a sweep: plan, driver, executors and task bodies, and the files that they leave."""
