//! Course files: uploads, versions, signed links, quarantine and the access journal.
