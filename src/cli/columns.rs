//! How do rows become columns that a person can read? Text only.

/// Rows with padded cells, two spaces apart, without spaces at the ends of lines.
pub(super) fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_line_up() {
        let row = |cells: &[&str]| cells.iter().map(|cell| cell.to_string()).collect();
        let rows: Vec<Vec<String>> = vec![row(&["node", "state"]), row(&["replica-1", "up"]), row(&["é"])];
        assert_eq!(align(&rows), "node       state\nreplica-1  up\né");
        assert_eq!(align(&[]), "");
    }
}
