# The width of a calculated integer depends on a server's plan, which is another one where a table is empty.
kinds: mysql
shards: 3
text: CREATE TABLE a (k INT NOT NULL, n INT NOT NULL, c1 MEDIUMINT, c2 MEDIUMINT UNSIGNED, PRIMARY KEY (n,k))
text: CREATE TABLE b (k INT NOT NULL, n INT NOT NULL, c6 VARCHAR(20), PRIMARY KEY (k,n))
text: INSERT INTO a VALUES («1»,«1»,«NULL»,«16777215»),(«1»,«2»,«-7»,«NULL»)
text: SELECT COALESCE(x.c1, «42»), COALESCE(x.c2, «42») FROM a AS x INNER JOIN b AS y ON x.k = y.k ORDER BY 1 DESC
  oracle: SELECT COALESCE(x.c1, «42»), COALESCE(x.c2, «42»), DENSE_RANK() OVER (ORDER BY COALESCE(x.c1, «42») DESC) FROM a AS x INNER JOIN b AS y ON x.k = y.k
text: INSERT INTO b VALUES («2»,«3»,«'x'»),(«3»,«1»,«'y'»),(«4»,«1»,«'z'»)
prepared: SELECT COALESCE(x.c1, «42»), COALESCE(x.c2, «42») FROM a AS x INNER JOIN b AS y ON x.k = y.k ORDER BY 1 DESC
  oracle: SELECT COALESCE(x.c1, «42»), COALESCE(x.c2, «42»), DENSE_RANK() OVER (ORDER BY COALESCE(x.c1, «42») DESC) FROM a AS x INNER JOIN b AS y ON x.k = y.k
text: INSERT INTO a VALUES («1»,«3»,«1»,«1»),(«2»,«4»,«2»,«2»),(«3»,«5»,«3»,«3»),(«3»,«6»,«4»,«4»),(«1»,«7»,«5»,«5»),(«2»,«8»,«6»,«6»),(«5»,«9»,«7»,«7»)
text: INSERT INTO b VALUES («1»,«1»,«'p'»),(«1»,«2»,«'q'»),(«2»,«2»,«'r'»)
prepared: SELECT COALESCE(x.c1, «42»), COALESCE(x.c2, «42») FROM a AS x INNER JOIN b AS y ON x.k = y.k ORDER BY 1 DESC
  oracle: SELECT COALESCE(x.c1, «42»), COALESCE(x.c2, «42»), DENSE_RANK() OVER (ORDER BY COALESCE(x.c1, «42») DESC) FROM a AS x INNER JOIN b AS y ON x.k = y.k
prepared: SELECT COALESCE(x.c1, «42»), COALESCE(x.c2, «42») FROM a AS x INNER JOIN b AS y ON x.k = y.k ORDER BY x.n DESC
  oracle: SELECT COALESCE(x.c1, «42»), COALESCE(x.c2, «42»), DENSE_RANK() OVER (ORDER BY x.n DESC) FROM a AS x INNER JOIN b AS y ON x.k = y.k
