DROP TABLE reader_notes;
