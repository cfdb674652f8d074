# How a server describes a string depends on its plan, which is another one where a table is empty.
shards: 3
text: CREATE TABLE a (k INT NOT NULL, n INT NOT NULL, c1 VARCHAR(20), PRIMARY KEY (k,n))
text: CREATE TABLE b (k INT NOT NULL, n INT NOT NULL, c1 VARCHAR(190) NOT NULL, c2 TEXT, PRIMARY KEY (k,n))
text: INSERT INTO a VALUES («1»,«1»,«'x'»),(«1»,«2»,«'y'»),(«2»,«2»,«'y'»),(«3»,«3»,«NULL»)
text: SELECT x.n FROM a AS x JOIN b AS y ON x.k = y.k AND x.n = y.n ORDER BY y.c1 DESC
  oracle: SELECT x.n, DENSE_RANK() OVER (ORDER BY y.c1 DESC) FROM a AS x JOIN b AS y ON x.k = y.k AND x.n = y.n
text: SELECT y.c2 FROM a AS x, b AS y WHERE x.k = y.k ORDER BY y.c2
  oracle: SELECT y.c2, DENSE_RANK() OVER (ORDER BY y.c2) FROM a AS x, b AS y WHERE x.k = y.k
text: INSERT INTO b VALUES («1»,«1»,«'p'»,«'q'»)
text: SELECT x.n FROM a AS x JOIN b AS y ON x.k = y.k AND x.n = y.n ORDER BY y.c1 DESC
  oracle: SELECT x.n, DENSE_RANK() OVER (ORDER BY y.c1 DESC) FROM a AS x JOIN b AS y ON x.k = y.k AND x.n = y.n
text: SELECT y.c2 FROM a AS x, b AS y WHERE x.k = y.k ORDER BY y.c2
  oracle: SELECT y.c2, DENSE_RANK() OVER (ORDER BY y.c2) FROM a AS x, b AS y WHERE x.k = y.k
