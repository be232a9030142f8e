# SPDX-License-Identifier: MIT
import os

import factory
from sqlalchemy import Column, Integer, Text
from sqlalchemy.orm import declarative_base, scoped_session, sessionmaker

URL = os.environ["APP_URL"]
Base = declarative_base()
Session = scoped_session(sessionmaker())


class Book(Base):
    __tablename__ = "book"
    id = Column(Integer, primary_key=True)
    title = Column(Text)


class BookFactory(factory.alchemy.SQLAlchemyModelFactory):
    class Meta:
        model = Book
        sqlalchemy_session = Session

    title = factory.Sequence(lambda n: f"Volume {n}")
