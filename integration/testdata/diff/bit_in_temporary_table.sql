# MariaDB makes a number of a BIT column that goes through a temporary table.
shards: 3
text: CREATE TABLE a (k INT NOT NULL, n INT NOT NULL, c1 BIT(10), c2 BIT(1) NOT NULL, PRIMARY KEY (k,n))
text: INSERT INTO a VALUES («1»,«1»,«1»,«1»),(«2»,«2»,«97»,«0»),(«3»,«3»,«97»,«0»),(«4»,«4»,«NULL»,«1»)
text: SELECT DISTINCT c1 FROM a
text: SELECT DISTINCT c2, n FROM a ORDER BY n
text: SELECT c1, COUNT(*) FROM a GROUP BY c1
text: SELECT c1, n FROM a ORDER BY c1, n
  oracle: SELECT c1, n, DENSE_RANK() OVER (ORDER BY c1, n) FROM a
text: SELECT c1, n FROM a ORDER BY n DESC
  oracle: SELECT c1, n, DENSE_RANK() OVER (ORDER BY n DESC) FROM a
