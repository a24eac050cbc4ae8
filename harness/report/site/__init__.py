"""The site: what a database holds as pages that open from a file, or are served live."""

from lcma.harness.report.site.pages import Options, Site
from lcma.harness.report.site.writing import write_site

__all__ = ["Options", "Site", "write_site"]
