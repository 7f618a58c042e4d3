//! Words that must be seen nowhere: one for each place where a secret enters, and the search for all of them in
//! whatever was shown, sent or kept, in the spellings in which one may get there.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use tokio_postgres::SimpleQueryMessage;

use super::sql;

/// One planted word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Planted(pub(crate) &'static str);

impl Planted {
    /// Changes in an address, where `=` is encoded, and is long enough not to come about by chance.
    pub(crate) fn word(self) -> String {
        format!("{}=Zq7", self.0)
    }

    fn spellings(self) -> Vec<String> {
        let word = self.word();
        let hex = word.bytes().fold(String::new(), |mut hex, byte| {
            let _never_fails = write!(hex, "{byte:02x}");
            hex
        });
        let mut all = vec![word.replace('=', "%3D"), word.replace('=', "%3d"), hex.to_uppercase(), hex];
        // Wherever in a text it begins; what depends on its neighbours is left out.
        for before in 0..3 {
            let coded = BASE64_STANDARD_NO_PAD.encode(format!("{}{word}", &"::"[..before]));
            let coded = &coded[if before == 0 { 0 } else { 4 }..];
            all.push(coded[..(coded.len() / 4 - 1) * 4].to_owned());
        }
        all.push(word);
        all
    }

    pub(crate) fn is_in(self, text: &str) -> bool {
        self.spellings().iter().any(|spelling| text.contains(spelling))
    }
}

/// Every table that the balancer has made, row by row as text. Bytes are in hexadecimal digits.
pub(crate) async fn tables(database_url: &str) -> Vec<(String, String)> {
    let client = sql::connect(database_url).await;
    let names = "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) FROM information_schema.tables \
        WHERE table_schema NOT IN ('pg_catalog', 'information_schema')";
    let mut tables = Vec::new();
    for name in client.query(names, &[]).await.expect("the tables") {
        let name: String = name.get(0);
        let rows = client.simple_query(&format!("SELECT t::text FROM {name} t")).await.expect("rows");
        let text = rows.iter().filter_map(|row| match row {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        tables.push((name.clone(), text.collect::<Vec<_>>().join("\n")));
    }
    assert!(tables.len() > 5, "there are more tables than {}", tables.len());
    tables
}
