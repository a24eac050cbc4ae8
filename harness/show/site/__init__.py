"""The site: an application over the published database, in a folder or served live."""

from lcma.harness.show.site.files import write_site

__all__ = ["write_site"]
