# MariaDB sorts CHAR columns of NOPAD collations with the spaces that they are stored with.
kinds: mariadb10.11
shards: 3
text: CREATE TABLE a (k INT NOT NULL, n INT NOT NULL, c5 CHAR(8) CHARACTER SET latin1 COLLATE latin1_swedish_nopad_ci, PRIMARY KEY (n,k))
text: CREATE TABLE r (n INT NOT NULL, c3 CHAR(8) CHARACTER SET latin1 COLLATE latin1_swedish_nopad_ci NOT NULL DEFAULT ' ', PRIMARY KEY (n))
text: INSERT INTO r (n,c3) VALUES («4»,«'a'»),(«30»,«'a	'»)
text: INSERT INTO a (k,n,c5) VALUES («1»,«30»,«'Z'»),(«2»,«4»,«'s'»),(«3»,«4»,«'a	'»),(«4»,«30»,«'a'»)
text: SELECT y.c3 FROM a AS x JOIN r AS y ON x.n = y.n ORDER BY y.c3
  oracle: SELECT y.c3, DENSE_RANK() OVER (ORDER BY y.c3) FROM a AS x JOIN r AS y ON x.n = y.n
  loose: 0=latin1_swedish_nopad_ci
text: SELECT c5 FROM a ORDER BY c5
  oracle: SELECT c5, DENSE_RANK() OVER (ORDER BY c5) FROM a
  loose: 0=latin1_swedish_nopad_ci
