"""Showing results: tables, exports, pictures and the site. It computes nothing."""
