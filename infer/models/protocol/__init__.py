"""What every front end and every change knows: sites, readers, plates, scans."""
