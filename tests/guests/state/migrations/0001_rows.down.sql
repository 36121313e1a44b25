DROP TABLE probe_rows;
