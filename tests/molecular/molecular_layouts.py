"""Tiny tables in the published layouts of GDC, cBioPortal and UCSC Xena; all values are made up."""

import io

_VARIANT = ["Variant_Type", "Reference_Allele", "Tumor_Seq_Allele1", "Tumor_Seq_Allele2"]
_PLACE = ["Chromosome", "Start_Position", "End_Position", "Strand"]
_GENE = ["Hugo_Symbol", "Entrez_Gene_Id", "Center", "NCBI_Build", *_PLACE]
GDC_MAF_COLUMNS = [
    *(*_GENE, "Variant_Classification", *_VARIANT, "dbSNP_RS", "dbSNP_Val_Status"),
    *("Tumor_Sample_Barcode", "Matched_Norm_Sample_Barcode", "Mutation_Status"),
]
CBIOPORTAL_MAF_COLUMNS = [
    *(*_GENE, "Consequence", "Variant_Classification", *_VARIANT),
    *("Tumor_Sample_Barcode", "HGVSp_Short", "t_alt_count"),
]
STAR_COLUMNS = [
    *("gene_id", "gene_name", "gene_type", "unstranded", "stranded_first", "stranded_second"),
    *("tpm_unstranded", "fpkm_unstranded", "fpkm_uq_unstranded"),
]


def stream(text):
    return io.BytesIO(text if isinstance(text, bytes) else text.encode())


def lines(rows, newline="\n"):
    return "".join("\t".join(map(str, row)) + newline for row in rows)


def maf(variants, columns=GDC_MAF_COLUMNS, comments="#version gdc-1.0.0", newline="\n"):
    """Variants are (gene, class, sample) or (gene, class, sample, status)."""
    rows = []
    for gene, kind, sample, *status in variants:
        row = dict.fromkeys(columns, "") | {"Hugo_Symbol": gene, "NCBI_Build": "GRCh38"}
        row |= {"Variant_Classification": kind, "Tumor_Sample_Barcode": sample}
        if "Mutation_Status" in columns:
            row["Mutation_Status"] = status[0] if status else "Somatic"
        rows.append([row[column] for column in columns])
    head = [[line] for line in comments.split("\n")] if comments else []
    return lines([*head, columns, *rows], newline)


def case_list(samples):
    return (
        "cancer_study_identifier: luad_made_up\nstable_id: luad_made_up_sequenced\n"
        "case_list_name: Samples with mutation data\n"
        f"case_list_description: Sequenced samples ({len(samples)} samples)\n"
        "case_list_category: all_cases_with_mutation_data\n"
        "case_list_ids: " + "\t".join(samples) + "\n"
    )


def xena(genes, samples, values, title="sample"):
    """Values are samples x genes."""
    body = [[gene, *(row[i] for row in values)] for i, gene in enumerate(genes)]
    return lines([[title, *samples], *body])


def xena_transposed(genes, samples, values, title="sample"):
    rows = [[sample, *row] for sample, row in zip(samples, values, strict=True)]
    return lines([[title, *genes], *rows])


def cbioportal_rsem(genes, samples, values):
    body = [[gene, 100 + i, *(row[i] for row in values)] for i, gene in enumerate(genes)]
    return lines([["Hugo_Symbol", "Entrez_Gene_Id", *samples], *body])


def star(tpm, counts=None):
    """Genes are (Ensembl id, symbol): TPM."""
    rows = [["# gene-model: GENCODE v36"], STAR_COLUMNS]
    for name in ("N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous"):
        rows.append([name, "", "", 900, 900, 900, "", "", ""])
    for i, ((gene, symbol), value) in enumerate(tpm.items()):
        count = 10 * i if counts is None else counts[i]
        rows.append([gene, symbol, "protein_coding", count, 0, 0, value, value / 2, value / 3])
    return lines(rows)


def gdc_sample_sheet(rows):
    """Rows are (file name, case, sample)."""
    columns = ["File ID", "File Name", "Data Category", "Data Type", "Project ID"]
    columns += ["Case ID", "Sample ID", "Sample Type"]
    kinds = ["Transcriptome Profiling", "Gene Expression Quantification", "TCGA-LUAD"]
    return lines(
        [columns, *([f"u{i}", f, *kinds, c, s, "Tumor"] for i, (f, c, s) in enumerate(rows))]
    )


def clinical_samples(rows):
    """Rows are (patient, sample), as in data_clinical_sample.txt of cBioPortal."""
    head = [["#Patient Identifier", "Sample Identifier"], ["#Patient", "Sample"]]
    return lines([*head, ["#STRING", "STRING"], ["#1", "1"], ["PATIENT_ID", "SAMPLE_ID"], *rows])
