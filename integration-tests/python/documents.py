"""Writes the documents of the scenarios with the libraries that people make theirs with.

usage: documents.py FOLDER
"""

import pathlib
import sys

import docx
import nbformat
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import simpleSplit
from reportlab.pdfgen import canvas

PAGES = [
    ("Introduction aux réseaux", "Un réseau informatique relie des machines qui échangent des données. "
     "On distingue les réseaux locaux, les réseaux métropolitains et les réseaux étendus."),
    ("Le modèle en couches", "Le modèle OSI compte sept couches. Chaque couche rend un service à celle "
     "qui est au-dessus d'elle et s'appuie sur celle qui est au-dessous."),
    ("L'adressage IP", "Une adresse IPv4 est écrite sur trente-deux bits, une adresse IPv6 sur cent "
     "vingt-huit bits. Le masque sépare la partie réseau de la partie hôte."),
    ("Le contrôle de congestion", "L'algorithme de démarrage lent double la fenêtre de congestion à "
     "chaque aller-retour jusqu'au seuil, puis TCP passe en évitement de congestion et "
     "l'augmente d'un segment par aller-retour."),
    ("Le routage", "Le protocole OSPF calcule les plus courts chemins par l'algorithme de Dijkstra. "
     "BGP échange des chemins entre systèmes autonomes."),
]

ARABIC = [
    ("الديناميكا الحرارية", None),
    (None, "تدرس الديناميكا الحرارية العلاقة بين الحرارة والشغل والطاقة."),
    ("القانون الثاني", None),
    (None, "ينص القانون الثاني للديناميكا الحرارية على أن الإنتروبيا في نظام معزول لا تنقص أبدا."),
    ("محرك كارنو", None),
    (None, "مردود محرك كارنو يتعلق فقط بدرجتي حرارة المنبع الساخن والمنبع البارد."),
]


def pdf(path, pages, encrypt=None):
    document = canvas.Canvas(str(path), pagesize=A4, encrypt=encrypt)
    for title, text in pages:
        document.setFont("Helvetica-Bold", 18)
        document.drawString(72, 770, title)
        document.setFont("Helvetica", 12)
        for row, line in enumerate(simpleSplit(text, "Helvetica", 12, 440)):
            document.drawString(72, 735 - 16 * row, line)
        document.showPage()
    document.save()


def word(path):
    document = docx.Document()
    for heading, text in ARABIC:
        if heading:
            document.add_heading(heading, level=1)
        else:
            document.add_paragraph(text)
    document.save(path)


def notebook(path):
    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_markdown_cell("# Tri rapide\n\nLe tri rapide choisit un pivot et partitionne le tableau."),
        nbformat.v4.new_code_cell("def partition(tableau, pivot):\n    return [x for x in tableau if x < pivot]"),
        nbformat.v4.new_markdown_cell("## Complexité\n\nDans le pire cas, le tri rapide est quadratique."),
    ]
    nbformat.write(book, str(path))


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    pdf(folder / "reseaux.pdf", PAGES)
    pdf(folder / "chiffre.pdf", PAGES, StandardEncryption("secret-needed-to-read", canPrint=0))
    pdf(folder / "deux-mille-pages.pdf", [(f"Page {n}", f"Ligne unique de la page {n}.") for n in range(1, 2001)])
    word(folder / "thermo.docx")
    notebook(folder / "tri.ipynb")


main(pathlib.Path(sys.argv[1]))
