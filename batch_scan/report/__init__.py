"""The report: six tables in Parquet, written while a run goes on and read by notebooks."""
