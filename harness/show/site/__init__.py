"""The site: a database as pages that open from a file, or are served live."""

from lcma.harness.show.site.pages import Site, SiteOptions
from lcma.harness.show.site.writing import write_site

__all__ = ["Site", "SiteOptions", "write_site"]
