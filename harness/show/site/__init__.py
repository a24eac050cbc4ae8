"""The site: an application over the published database, in a folder or served live."""

from lcma.harness.show.site.files import SiteOptions
from lcma.harness.show.site.writing import write_site

__all__ = ["SiteOptions", "write_site"]
